"""What is sent to other repositories, and what they send, which nobody trusts until it was checked."""
