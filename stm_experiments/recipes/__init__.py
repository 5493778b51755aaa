"""What each command does once its config is composed; the door of the same name starts it."""
