"""`python -m fedactors`: the command line."""

from fedactors.cli import main

if __name__ == "__main__":
    main()
