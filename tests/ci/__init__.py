"""The workflows of the template and of rendered projects."""
