"""What the pocket model learns: items of every task, the pictures in them, and its tokenizer. numpy and pillow only."""
