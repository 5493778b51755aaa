"""Mathematics and file handling that every room shares."""
