"""`python -m t5gemma2_weights_tool` is the `weights_tool` command."""
from .cli import main

raise SystemExit(main())
