"""The process of a program: how signals end it, from its first moment on."""
