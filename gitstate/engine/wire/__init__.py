"""What speaks with other repositories: every way that git has, with an end to each wait."""
