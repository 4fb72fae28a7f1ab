"""Arrays and tables of joint positions, as clips; numpy's files."""
