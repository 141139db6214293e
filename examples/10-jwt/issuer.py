"""A small issuer of tokens, for tests alone: whoever reaches it gets one.

python issuer.py PORT ISSUER      serves the discovery document, the keys, and GET /token?org=shop&sub=ann
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

LIFETIME_SECONDS = 600
KEY = RSAKey.generate_key(2048, {"kid": str(int(time.time())), "use": "sig"})


class Issuer(BaseHTTPRequestHandler):
    """Answers GET requests."""

    issuer = ""

    def do_GET(self) -> None:
        """Send a document, or a token whose claims are those of the query."""
        url = urlsplit(self.path)
        if url.path == "/.well-known/openid-configuration":
            body = json.dumps({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"})
        elif url.path == "/keys":
            body = json.dumps({"keys": [KEY.as_dict(private=False)]})
        elif url.path == "/token":
            body = self._token(dict(parse_qsl(url.query)))
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def _token(self, claims: dict[str, str]) -> str:
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": "members", "sub": "ann", "org": "shop", "scope": "chat"}
        times = {"iat": now, "exp": now + LIFETIME_SECONDS}
        return jwt.encode({"alg": "RS256", "kid": KEY.kid}, {**usual, **claims, **times}, KEY)


if __name__ == "__main__":
    Issuer.issuer = sys.argv[2]
    ThreadingHTTPServer(("", int(sys.argv[1])), Issuer).serve_forever()
