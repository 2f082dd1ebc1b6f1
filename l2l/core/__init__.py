"""What every package may use; nothing of it knows of videos."""
