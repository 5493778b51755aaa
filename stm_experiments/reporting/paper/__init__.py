"""The paper of Binev et al.: its numbers, its Table 2 and its claims, beside those of our runs."""
