"""Small services, one file each."""
