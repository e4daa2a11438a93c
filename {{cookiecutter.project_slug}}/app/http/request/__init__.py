"""What a request is: who sent it, whether it is well-formed, and its body."""
