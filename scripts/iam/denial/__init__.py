"""Why a request was denied, and the smallest change that would allow it."""
