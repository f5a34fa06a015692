"""What must hold whenever weights move, cases to try it on, and what others recorded."""
