"""Sites that lie by script: honest engines whose words are changed on their way out."""
