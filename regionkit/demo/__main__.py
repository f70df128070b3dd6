"""`python -m regionkit.demo` is `regionkit demo`."""

from regionkit.demo.command import main

if __name__ == "__main__":
    raise SystemExit(main())
