"""Jobs of an environment that systemd or cron runs at certain times, on the machine with the project folder."""
