"""What imports and commands cost before any work begins."""
