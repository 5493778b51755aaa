"""Pictures of several scans."""
