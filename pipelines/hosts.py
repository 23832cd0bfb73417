"""Comments and issues at GitHub, and comments at Azure DevOps: one of ours each, found again by its hidden marker.

https://docs.github.com/rest/issues/comments, https://docs.github.com/rest/issues/issues,
https://learn.microsoft.com/rest/api/azure/devops/git/pull-request-threads (api-version 7.1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 30.0
_PER_PAGE = 100
_MOST_PAGES = 100
# Whose comments and issues are ours: what a workflow's own token writes as.
GITHUB_ACTIONS = "github-actions[bot]"


class HostError(Exception):
    """The host of the repository refused, or did not answer; the message holds no credentials."""


class GitHub:
    """A repository at GitHub."""

    def __init__(self, api: str, repository: str, token: str, *, author: str = GITHUB_ACTIONS) -> None:
        """Connect at the first request.

        Args:
            api: The API's address, as GITHUB_API_URL has it.
            repository: As owner/name.
            token: A token with the rights that the calls need.
            author: Whom the token writes as.
        """
        self._repository = f"/repos/{repository}"
        self._author = author
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._client = _Client(api, headers)

    def pull_request(self, owner: str, branch: str, commit: str) -> int | None:
        """Return the open pull request whose branch ends at a commit; None when it moved on or was closed.

        Args:
            owner: Of the repository that the branch is in, a fork's too.
            branch: The branch.
            commit: The commit.
        """
        query = {"state": "open", "head": f"{owner}:{branch}"}
        for one in self._pages(f"{self._repository}/pulls", query):
            if one["head"]["sha"] == commit:
                return int(one["number"])
        return None

    def comment(self, pull_request: int, marker: str, body: str) -> None:
        """Write our comment on a pull request, or bring it up to date.

        Args:
            pull_request: Its number.
            marker: What the comment begins with.
            body: The comment.
        """
        comments = f"{self._repository}/issues/{pull_request}/comments"
        for one in self._pages(comments, {}):
            if self._is_ours(one, marker):
                self._client.send("PATCH", f"{self._repository}/issues/comments/{int(one['id'])}", {"body": body})
                return
        self._client.send("POST", comments, {"body": body})

    def open_issue(self, marker: str, title: str, body: str) -> None:
        """Open our issue, or bring the open one up to date; otherwise as `comment`."""
        number = self._issue(marker)
        if number is None:
            self._client.send("POST", f"{self._repository}/issues", {"title": title, "body": body})
        else:
            self._client.send("PATCH", f"{self._repository}/issues/{number}", {"title": title, "body": body})

    def close_issue(self, marker: str) -> bool:
        """Close our issue; tell whether there was an open one."""
        number = self._issue(marker)
        if number is None:
            return False
        change = {"state": "closed", "state_reason": "completed"}
        self._client.send("PATCH", f"{self._repository}/issues/{number}", change)
        return True

    def _issue(self, marker: str) -> int | None:
        query = {"state": "open", "creator": self._author}
        for one in self._pages(f"{self._repository}/issues", query):
            if "pull_request" not in one and self._is_ours(one, marker):
                return int(one["number"])
        return None

    def _is_ours(self, one: dict[str, Any], marker: str) -> bool:
        # Anybody may write the marker; only our own text is ours to replace.
        is_by_us = (one.get("user") or {}).get("login") == self._author
        return is_by_us and str(one.get("body") or "").startswith(marker)

    def _pages(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        url: str | None = str(httpx.URL(path, params={**query, "per_page": str(_PER_PAGE)}))
        for _ in range(_MOST_PAGES):
            if url is None:
                return
            answer = self._client.send("GET", url)
            yield from answer.json()
            url = answer.links.get("next", {}).get("url")


class AzureDevOps:
    """A repository at Azure DevOps."""

    def __init__(self, collection: str, project: str, repository: str, token: str) -> None:
        """Connect at the first request.

        Args:
            collection: The organisation's address, as SYSTEM_COLLECTIONURI has it.
            project: As SYSTEM_TEAMPROJECT has it.
            repository: As BUILD_REPOSITORY_ID has it.
            token: SYSTEM_ACCESSTOKEN.
        """
        self._path = f"/{quote(project, safe='')}/_apis/git/repositories/{quote(repository, safe='')}/pullRequests"
        self._client = _Client(collection, {"Authorization": f"Bearer {token}"})

    def comment(self, pull_request: int, marker: str, body: str) -> None:
        """As GitHub's: here a comment is the first one of a thread, which is closed so that it blocks no completion."""
        threads = f"{self._path}/{pull_request}/threads"
        for thread in self._client.send("GET", f"{threads}?api-version=7.1").json().get("value") or []:
            for one in (thread.get("comments") or [])[:1]:
                # Only the one who wrote a comment can edit it: another's would be refused.
                if str(one.get("content") or "").startswith(marker) and not thread.get("isDeleted"):
                    path = f"{threads}/{int(thread['id'])}/comments/{int(one['id'])}?api-version=7.1"
                    self._client.send("PATCH", path, {"content": body})
                    return
        thread = {"comments": [{"parentCommentId": 0, "content": body, "commentType": "text"}], "status": "closed"}
        self._client.send("POST", f"{threads}?api-version=7.1", thread)


class _Client:
    def __init__(self, base: str, headers: dict[str, str]) -> None:
        self._host = urlsplit(base).netloc
        self._client = httpx.Client(base_url=base, headers=headers, timeout=_SECONDS)

    def send(self, method: str, url: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Send a request.

        Raises:
            HostError: It was refused, or there was no answer.
        """
        # A page's successor is an address that the answer names: our token goes to no other host.
        if urlsplit(url).netloc not in {"", self._host}:
            raise HostError(f"{self._host} names a page at another host.")
        what = f"{method} {urlsplit(url).path}"
        try:
            answer = self._client.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise HostError(f"{self._host} does not answer {what}: {type(error).__name__}.") from None
        if not answer.is_success:
            raise HostError(f"{self._host} refuses {what}: HTTP {answer.status_code} {_message(answer)}")
        return answer


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message", ""))[:200]
    except (ValueError, AttributeError):
        return ""
