"""The paper's ablations in miniature: variants of the pocket model, trained alike and compared."""
