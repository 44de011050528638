"""Sends one signed request (RFC 9421, hmac-sha256) to the daemon. Needs nothing but Python.

    python3 signed_request.py URL TOKEN_FILE KEY_ID SECRET_FILE METHOD PATH [BODY]
"""

import base64, hashlib, hmac, http.client, pathlib, secrets, sys, time, urllib.parse

url, token_file, key_id, secret_file, method, path, *body = sys.argv[1:]
address = urllib.parse.urlsplit(url)
target = urllib.parse.urlsplit(path)
read = lambda name: pathlib.Path(name).read_text().strip()

headers = {"authorization": "Bearer " + read(token_file)}
covered = {
    "@method": method,
    "@authority": address.netloc.lower(),
    "@path": target.path,
    "@query": "?" + target.query,
}
if body:
    digest = base64.b64encode(hashlib.sha256(body[0].encode()).digest()).decode()
    covered["content-digest"] = headers["content-digest"] = f"sha-256=:{digest}:"
    covered["content-type"] = headers["content-type"] = "application/json"

names = " ".join(f'"{name}"' for name in covered)
# A signature is good for a few minutes, and its nonce for one request.
parameters = f'({names});created={int(time.time())};nonce="{secrets.token_urlsafe(18)}";keyid="{key_id}"'
base = "".join(f'"{name}": {value}\n' for name, value in covered.items()) + f'"@signature-params": {parameters}'
signature = base64.b64encode(hmac.new(read(secret_file).encode(), base.encode(), hashlib.sha256).digest()).decode()
headers["signature-input"] = f"sig1={parameters}"
headers["signature"] = f"sig1=:{signature}:"

connect = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
connection = connect(address.hostname, address.port, timeout=600)
connection.request(method, path, body[0] if body else None, headers)
answer = connection.getresponse()
sys.stdout.write(answer.read().decode())
sys.exit(0 if answer.status < 400 else 1)
