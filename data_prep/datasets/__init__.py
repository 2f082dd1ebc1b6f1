"""Lists of videos -> rows: folders, CSV files and published lists."""
