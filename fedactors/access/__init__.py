"""Who may do what, and how that is shown, given and written down.

    callers       roles, and the methods that each may call
    tokens        what is kept of tokens; token_file: on disk, read again when it changes
    guard         decides on each stream: who calls, or why not
    audit         who did what, and who was refused
    certificates  an authority and the leaves that it signs (needs the package cryptography)

The transport says what a client has shown, the gateway asks the guard before it serves anything.
"""
