"""What is in a folder."""

import hashlib


def hashes(folder):
    """SHA-256 by path inside ``folder``, for every file at any depth."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file()
    }
