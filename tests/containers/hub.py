"""A Hub's address in; people who sign in over HTTP, their servers, programs in their kernels, and their pages out."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import requests
import websocket

PATIENCE_S = 900.0


@dataclass
class Hub:
    """What every way of running the bootcamp shares: one Hub behind one address."""

    sessions: dict[str, requests.Session] = field(default_factory=dict, kw_only=True)
    authority: str = field(default="", kw_only=True)  # a file with the certificate of the web server in front, if there is one

    hub = "hub"  # what log() knows it as

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def password(self) -> str: ...

    @abstractmethod
    def log(self, service: str, n_lines: int = 60) -> str: ...

    def session(self, name: str) -> requests.Session:
        """Return the person's session, signed in through the Hub's form."""
        if name not in self.sessions:
            session = self._new_session()
            session.get(f"{self.url}/hub/login", timeout=60).raise_for_status()
            form = {"username": name, "password": self.password(), "_xsrf": session.cookies.get("_xsrf", path="/hub/")}
            reply = session.post(f"{self.url}/hub/login", form, timeout=60, allow_redirects=False)
            assert reply.status_code == 302, f"{name} cannot sign in: {reply.status_code} {reply.text[-600:]}"
            self.sessions[name] = session
        return self.sessions[name]

    def page(self, name: str, path: str = "me") -> requests.Response:
        return self.session(name).get(f"{self.url}/services/bootcamp/{path}", timeout=60)

    def start_server(self, name: str) -> str:
        """Let the Hub start the person's server; return its container's or unit's name."""
        session = self.session(name)
        headers = {"X-XSRFToken": session.cookies.get("_xsrf", path="/hub/"), "Referer": f"{self.url}/hub/home"}
        reply = session.post(f"{self.url}/hub/api/users/{name}/server", headers=headers, timeout=200)
        assert reply.status_code in (201, 202), f"{reply.text}\n{self.log(self.hub)}"
        until = time.monotonic() + PATIENCE_S
        while not (state := session.get(f"{self.url}/hub/api/users/{name}", timeout=60).json())["server"]:
            assert time.monotonic() < until, f"{state}\n{self.log(self.hub)}"
            time.sleep(0.5)
        return f"bootcamp-server-{name}"

    def run_in_kernel(self, name: str, code: str) -> str:
        """Run the code in a new kernel of the person's server, as Lab does it; return what it printed. Raises: AssertionError."""
        session, server = self.session(name), f"{self.url}/user/{name}"
        session.get(f"{server}/lab", timeout=60).raise_for_status()  # lets the server know the person
        headers = {"X-XSRFToken": session.cookies.get("_xsrf", path=f"/user/{name}/"), "Referer": f"{server}/lab"}
        reply = session.post(f"{server}/api/kernels", json={"name": "python3"}, headers=headers, timeout=60)
        assert reply.status_code == 201, f"{reply.status_code} {reply.text[-600:]}"
        kernel = f"{server}/api/kernels/{reply.json()['id']}"
        try:
            return self._execute(session, f"{kernel}/channels", code)
        finally:
            session.delete(kernel, headers=headers, timeout=60)

    def wait_for(self, path: str, services: tuple[str, ...] = ()) -> None:
        """Wait until the path answers 200."""
        until, said = time.monotonic() + PATIENCE_S, ""
        while True:
            try:
                reply = self._new_session().get(self.url + path, timeout=10)
                if reply.status_code == 200:
                    return
                said = f"{reply.status_code} {reply.text[-300:]}"
            except requests.exceptions.SSLError:
                raise
            except requests.RequestException as e:
                said = str(e)
            logs = "\n".join(f"{s}: {self.log(s)}" for s in services) if time.monotonic() > until else ""
            assert time.monotonic() < until, f"{path}: {said}\n{logs}"
            time.sleep(0.2)

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # or the environment's bundle of authorities would win over ours
        session.verify = self.authority or True
        return session

    def _execute(self, session: requests.Session, address: str, code: str) -> str:
        cookies = requests.cookies.get_cookie_header(session.cookies, requests.Request("GET", address).prepare())
        trust = {"sslopt": {"context": ssl.create_default_context(cafile=self.authority)}} if self.authority else {}
        line = websocket.create_connection(
            address.replace("http", "ws", 1), cookie=cookies, origin=self.url, timeout=PATIENCE_S, **trust
        )
        try:
            asked = uuid.uuid4().hex
            head = {"msg_id": asked, "msg_type": "execute_request", "username": "", "session": asked, "version": "5.3"}
            content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
            said = {"header": head, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}
            line.send(json.dumps(said))
            printed = ""
            while True:
                message: dict[str, Any] = json.loads(line.recv())
                if message.get("parent_header", {}).get("msg_id") != asked:
                    continue
                kind, content = message["header"]["msg_type"], message["content"]
                printed += content["text"] if kind == "stream" else ""
                assert kind != "error", f"{printed}\n{content['ename']}: {content['evalue']}\n" + "\n".join(content["traceback"])
                if kind == "status" and content["execution_state"] == "idle":
                    return printed
        finally:
            line.close()
