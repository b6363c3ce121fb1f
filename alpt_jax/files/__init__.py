"""Files and directories: paths as people type them, writing whole or not at all, disk space."""
