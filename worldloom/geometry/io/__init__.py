"""Reading and writing every file format; foreign conventions stop here."""
