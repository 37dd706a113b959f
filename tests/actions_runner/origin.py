"""A git repository that plays the one on GitHub: commits by branch, checkouts by commit."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

_IDENTITY = {
    "GIT_AUTHOR_NAME": "octocat",
    "GIT_AUTHOR_EMAIL": "octocat@example.invalid",
    "GIT_COMMITTER_NAME": "octocat",
    "GIT_COMMITTER_EMAIL": "octocat@example.invalid",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}


class Origin:
    """The repository in `folder`, made on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / ".git").exists():
            folder.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--initial-branch", "main")
            # So that a checkout by commit works as it does on GitHub.
            self._git("config", "uploadpack.allowAnySHA1InWant", "true")

    def commit(self, files: Mapping[str, str | None], branch: str = "main") -> str:
        """Write files (None removes one) on a branch, made off main if new; return the commit."""
        if self._try("rev-parse", "--verify", "--quiet", "HEAD") is not None:
            exists = self._try("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
            self._git("checkout", "--quiet", *(() if exists else ("-b",)), branch)
        for name, content in files.items():
            path = self.folder / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self._git("rev-parse", "HEAD")

    def copy_from(self, source: Path, branch: str = "main") -> str:
        """Take over the files of a work tree that git does not ignore; return the commit."""
        listed = subprocess.run(
            ["git", "-C", str(source), "ls-files", "-coz", "--exclude-standard"],
            capture_output=True,
            text=True,
            check=True,
        )
        names = [name for name in listed.stdout.split("\0") if name and (source / name).is_file()]
        archive = subprocess.run(
            ["tar", "-C", str(source), "-cf", "-", "--null", "-T", "-"],
            input="\0".join(names).encode(),
            capture_output=True,
            check=True,
        )
        subprocess.run(
            ["tar", "-C", str(self.folder), "-xf", "-"], input=archive.stdout, check=True
        )
        return self.commit({}, branch)

    def merge(self, branch: str) -> str:
        """Merge a branch into main; return the commit."""
        self._git("checkout", "--quiet", "main")
        self._git("merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", branch)
        return self._git("rev-parse", "HEAD")

    def tip(self, branch: str) -> str:
        """The newest commit of a branch."""
        return self._git("rev-parse", f"refs/heads/{branch}")

    def changed(self, commit: str) -> list[str]:
        """Paths that a commit changed against its first parent."""
        listed = self._git("diff", "--name-only", f"{commit}^1", commit)
        return listed.splitlines()

    def checkout(self, commit: str, folder: Path) -> None:
        """Check one commit out into an empty folder, detached and without history."""
        folder.mkdir(parents=True, exist_ok=True)
        git = ["git", "-C", str(folder)]
        for command in (
            ["init", "--quiet"],
            ["fetch", "--quiet", "--depth", "1", f"file://{self.folder}", commit],
            ["checkout", "--quiet", "--detach", "FETCH_HEAD"],
        ):
            subprocess.run([*git, *command], check=True, env=_IDENTITY, capture_output=True)

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            check=True,
            env=_IDENTITY,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def _try(self, *arguments: str) -> str | None:
        try:
            return self._git(*arguments)
        except subprocess.CalledProcessError:
            return None
