#!/usr/bin/env python3
"""Writes the seed corpus of the fuzz targets into seeds/, and into identity/ the authority and the user that `auth` needs.

  make_seeds.py [RECORDED]...

Seeds are made from the specification of the protocol. RECORDED are files of all bytes that a server sent over one
connection without encryption; those that are here came from servers of XRootD 5.5. Needs openssl.
"""
import shutil
import struct
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SMALL = 6_000
OK, OK_SO_FAR, ATTN, AUTH_MORE, ERROR, REDIRECT, WAIT, WAIT_RESP, STATUS = 0, *range(4000, 4008)
HANDSHAKE = struct.pack(">II", 0x520, 1)
SESSION = bytes(range(16))
STAT = b"1 123456 48 1700000000 1700000000 1700000000 0644 u g\0"
LISTING = b".\n0 0 0 0\na b.root\n1 17 48 1700000000\nd\n2 4096 51 1700000001\n\0"


def seed(target, name, data):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def frame(status, body=b"", stream=0):
    return struct.pack(">HHI", stream, status, len(body)) + body


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def page_head(stream, is_final, length, offset):
    head = struct.pack(">HBB4xIQ", stream, 30, 0 if is_final else 1, length, offset)
    return struct.pack(">I", crc32c(head)) + head


def pages(stream, offset, data, is_final=True):
    body, at = b"", 0
    while at < len(data):
        page = data[at:at + 4096 - (offset + at) % 4096]
        body += struct.pack(">I", crc32c(page)) + page
        at += len(page)
    return frame(STATUS, page_head(stream, is_final, len(body), offset), stream) + body


def segment(offset, data):
    return struct.pack(">4sIQ", b"\0" * 4, len(data), offset) + data


def attention(answer):
    return frame(ATTN, struct.pack(">II", 5008, 0) + answer)


def redirect(port, target):
    return struct.pack(">i", port) + target


def responses():
    bodies = {
        "stat": STAT,
        "opened": b"\0\0\0\1" + b"\0" * 8 + STAT,
        "opened-bare": b"\0\0\0\1",
        "listing": LISTING,
        "listing-names": b"a.root\nb.root\0",
        "error": struct.pack(">I", 3011) + b"Unable to open /a?authz=x; no such file\0",
        "redirect": redirect(1095, b"fst.example.org?&cap.sym=a/b+c==&mgm.id=1?token"),
        "redirect-v6": redirect(1095, b"[2001:db8::1]?x=y"),
        "redirect-url": redirect(-1, b"root://u@other:1096//new/path?a=b"),
        "redirect-proxy": redirect(~0x2000, b"roots://cache//root://origin:1094//f"),
        "redirect-file": redirect(-1, b"file://localhost/etc/passwd"),
        "wait": struct.pack(">I", 10) + b"please wait",
        "protocol": struct.pack(">II", 0x520, 0x200001),
        "protocol-all": struct.pack(">II", 0x520, 0xCD200001) + b"B\0\0\1" + b"\0" * 8 + b"S\0\0\2\4\2\x0a\2\x0d\0",
        "login": SESSION + b"&P=krb5,xrootd/eos@R&P=gsi,v:10600,c:ssl,ca:x.0&P=sss,0.+13:&P=unix\0",
        "limits": b"2097136\n1024\n",
        "locate": b"Sw[::1.2.3.4]:1094 mr[::1]:1213\0",
        "checksum": b"adler32 b339366e\0",
        "header": frame(OK_SO_FAR, b"x", 7),
        "pages": page_head(0, True, 4100, 4096),
    }
    for name, body in bodies.items():
        seed("response", name, body)


def receive():
    """Three bytes: the first piece, the largest one, and which requests were given up. The ids are those of the hook."""
    data = bytes(range(256)) * 40
    vector = [segment(0, data[:5]), segment(100, data[:3000]), segment(1 << 40, b"x")]
    answers = {
        "stat": frame(OK, STAT, 0),
        "listing": frame(OK_SO_FAR, LISTING[:20], 1) + frame(OK, LISTING[20:], 1),
        "listing-long": frame(OK, b"x", 1)[:4] + struct.pack(">I", 200 << 20),
        "open": frame(OK, b"\0\0\0\1" + b"\0" * 8 + STAT, 2),
        "read": frame(OK_SO_FAR, data[:9000], 3) + frame(OK, data[:100], 3),
        "read-short": frame(OK, data[:10], 4),
        "vector": frame(OK_SO_FAR, vector[0] + vector[1], 5) + frame(OK, vector[2], 5),
        "pages": pages(6, 100, data[:5000], False) + pages(6, 5100, data[:4000]),
        "pages-end": pages(7, (1 << 64) - 4097, data[:4096]),
        "open-late": frame(WAIT_RESP, struct.pack(">I", 60), 8) + attention(frame(OK, b"\0\0\0\2", 8)),
        "message": frame(ATTN, struct.pack(">I", 5002) + b"the server is going down"),
        "error": frame(ERROR, struct.pack(">I", 3007) + b"no", 3),
        "redirect": frame(REDIRECT, redirect(1095, b"fst?a=b"), 2),
        "wait": frame(WAIT, struct.pack(">I", 3), 2),
    }
    for name, answer in answers.items():
        seed("receive", name, b"\0\0\0" + answer)
    everything = b"".join(answers[name] for name in answers if name not in ("listing-long", "error", "redirect", "wait"))
    for name, how in {"at-once": b"\0\0\0", "in-pieces": b"\7\x0d\0", "bytes": b"\1\1\0", "given-up": b"\3\0\xff"}.items():
        seed("receive", f"all-{name}", how + everything)


def logins():
    """One byte: 1 step by step, 2 encrypted; then all that the server sends."""
    hello = frame(OK, HANDSHAKE) + frame(OK, struct.pack(">II", 0x520, 1))
    login = frame(OK, SESSION + b"&P=ztn,0:4096:&P=unix&P=host\0")
    wait = frame(WAIT, struct.pack(">I", 5) + b"not yet")
    error = frame(ERROR, struct.pack(">I", 3030) + b"not believed")
    tls = frame(OK, HANDSHAKE) + frame(OK, struct.pack(">II", 0x520, 0xC4000001))
    signed = frame(OK, struct.pack(">II", 0x520, 1) + b"S\0\0\2\4\1\x0a\2")
    for name, script in {
        "free": hello + frame(OK, SESSION),
        "unix": hello + login + frame(OK),
        "host": hello + login + error + frame(OK),
        "none": hello + login + error + error,
        "asked-again": hello + login + frame(AUTH_MORE, b"more"),
        "wait": hello + wait + frame(WAIT_RESP, struct.pack(">I", 9)) + login + wait + frame(OK),
        "tls": tls + frame(OK, SESSION),
        "tls-asked-for": frame(OK, HANDSHAKE) + frame(OK, struct.pack(">II", 0x520, 0x84000001)) + tls[16:] + login,
        "signed": frame(OK, HANDSHAKE) + signed + login + frame(OK),
        "redirect": hello + frame(REDIRECT, redirect(1095, b"other")),
        "long": hello + frame(OK)[:4] + struct.pack(">I", 1 << 20) + b"x",
    }.items():
        for choice in (0, 1, 3):
            seed("login", f"{name}-{choice}", bytes([choice]) + script)


def message(step, *buckets):
    parts = [struct.pack(">II", kind, len(content)) + content for kind, content in buckets]
    return b"gsi\0" + struct.pack(">I", step) + b"".join(parts) + b"\0" * 4


def auths():
    """One byte chooses the kind, in the order of the hook."""
    work = HERE / "identity"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()

    def openssl(line, **kw):
        return subprocess.run(["openssl", *line.split()], cwd=work, check=True, capture_output=True, **kw).stdout

    ca = "/O=fuzz/CN=Authority"
    openssl(f"req -x509 -newkey rsa:2048 -nodes -sha256 -days 36500 -keyout ca.key -out ca.pem -subj {ca}")
    for name, names, usage in [("user", "", "clientAuth"), ("server", "DNS:eos.example.org", "serverAuth")]:
        openssl(f"req -newkey rsa:2048 -nodes -sha256 -keyout {name}.key -out {name}.csr -subj /O=fuzz/CN={name}")
        alternative = f"\nsubjectAltName={names}" if names else ""
        (work / f"{name}.ext").write_text(f"extendedKeyUsage={usage}{alternative}\n")
        openssl(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 36500 -sha256 "
                f"-extfile {name}.ext -out {name}.pem")
    authority, server = (work / "ca.pem").read_bytes(), (work / "server.pem").read_bytes()

    def signed(text):
        return b"".join(openssl("rsautl -sign -inkey server.key", input=text[at:at + 245])
                        for at in range(0, len(text), 245))

    user = (work / "user.pem").read_bytes() + (work / "user.key").read_bytes()
    openssl("dhparam -outform PEM -out dh.pem 512")
    groups = {512: (work / "dh.pem").read_bytes()}
    openssl("genpkey -genparam -algorithm DH -pkeyopt group:modp_2048 -outform PEM -out dh.pem")
    groups[2048] = (work / "dh.pem").read_bytes()
    parts = {bits: pem + b"---BPUB---1F00DEADBEEF---EPUB---" for bits, pem in groups.items()}
    main = message(2001, (3007, signed(b"abcdefgh")), (3006, b"12345678"))
    challenge = message(2001, (3000, b"ssl"), (3022, server), (3001, main), (3005, signed(parts[512])),
                        (3025, b"aes-128-cbc:bf-cbc"), (3026, b"sha1:md5"))
    key = openssl("rsa -in server.key -RSAPublicKey_out -outform DER")
    proxy = user + (work / "user.pem").read_bytes()
    token = b"0:4096:\ne30.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.x"
    keytab = b"0.+13:/etc/eos.keytab\n# keys\n0 u:tester g:testers n:testkey N:7711072949096153089 c:1 e:0 f:0 k:00010203\n" \
             b"1 n:old N:1 e:100 k:0011\n"
    for kind, name, content in [
        (0, "offer", b"xrd.wantprot=unix,krb5\n&P=krb5,xrootd/eos@R&P=gsi,v:10600,c:ssl,ca:x.0&P=sss,0.+13:&P=unix\0"),
        (1, "message", challenge),
        (2, "agreement-512", parts[512]),
        (2, "agreement-2048", parts[2048]),
        (3, "certificates", server + authority),
        (4, "signature", struct.pack(">H", len(key)) + key + signed(b"abcdefgh")),
        (5, "challenge", challenge),
        (5, "delegation", message(2002)),
        (6, "user", user),
        (6, "proxy", proxy),
        (7, "keytab", keytab),
        (8, "web-token", token),
        (8, "token", b"0:4:\nzteos64:abc\n"),
    ]:
        seed("auth", name, bytes([kind]) + content)
    subject = openssl("x509 -in ca.pem -noout -subject_hash").decode().strip()
    for path in work.iterdir():
        path.unlink()
    (work / f"{subject}.0").write_bytes(authority)
    (work / "user.pem").write_bytes(user)


def multiparts():
    """One byte: in what pieces the answer comes, 0 for all at once. The ranges are those of the hook."""
    def parts(*parts):
        text = b"".join(b"\r\n--B\r\nContent-Type: x\r\nContent-Range: bytes %d-%d/%s\r\n\r\n%s"
                        % (start, start + len(data) - 1, size, data) for start, size, data in parts)
        return text + b"\r\n--B--\r\n"

    far = 1 << 40
    webdav = b"""<?xml version="1.0"?>
<D:multistatus xmlns:D="DAV:" xmlns:a="DAV:">
 <D:response><D:href>http://h:80//d/</D:href><D:propstat><D:prop>
   <a:resourcetype><D:collection/></a:resourcetype></D:prop></D:propstat></D:response>
 <D:response><D:href>/d/a%20b&amp;.root</D:href><D:propstat><D:prop><a:getcontentlength>12</a:getcontentlength>
   <a:getlastmodified>Tue, 03 Jun 2008 11:05:30 GMT</a:getlastmodified><a:getetag>"x"</a:getetag>
   <a:resourcetype/></D:prop></D:propstat></D:response>
 <D:response><D:href>d/sub/</D:href><D:prop><a:iscollection>1</a:iscollection></D:prop></D:response>
 <D:response><D:href><![CDATA[/d/x%26.root]]></D:href><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:response>
 <D:response><D:href>/d/../x</D:href><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:response>
</D:multistatus>"""
    plain = b"<multistatus><response><href>/d/a b&#38;.root</href><getcontentlength>7</getcontentlength></response></multistatus>"
    for name, content in {
        "all": parts((0, b"*", b"0123456789"), (20, b"9999999999999", b"0123456789"), (100, b"*", b"x" * 4900),
                     (far, b"*", b"abcde")),
        "joined": parts((0, b"50", b"x" * 30), (far, b"*", b"\r\n--B")),
        "listing": webdav,
        "listing-plain": plain,
        "content-range": b"bytes 0-9/100",
        "content-type": b'multipart/byteranges; charset=x; boundary="a b"',
        "date": b"Tue, 03 Jun 2008 11:05:30 GMT",
    }.items():
        for piece in (0, 7):
            seed("multipart", f"{name}-{piece}", bytes([piece]) + content)


def urls():
    for at, text in enumerate([
        "root://eos.cern.ch//eos/x.root?eos.app=me",
        "roots://u@h:1095//a?x=1&y=a/b+c=",
        "root://[2001:db8::1]:1096//a",
        "root://cache//root://origin:1094//a/b.root:Events",
        "XROOT://h//x",
        "https://u:p@h:8443/d/a%20b.root?authz=abc:def:Events",
        "davs://[::1]:8443//eos//x",
        "s3://bucket/a/b c.root:dir/tree;2",
        "hdfs://user@nn:8020/a/{b,c}/*.root:t",
        "hdfs:///a",
        "eos://eoscms/eos/cms/x.root",
        "file:///d/x.root:Events",
        "data/run_12:30.root:Events",
        "root://h//x.root?authz=zteos64:MDAw:Events",
    ]):
        seed("url", f"{at:02}", text.encode())


def recorded(path):
    data, name = path.read_bytes(), path.name.replace(".down", "")
    if len(data) <= SMALL:
        for choice in (0, 1):
            seed("login", f"recorded-{name}-{choice}", bytes([choice]) + data)
    at, seen = 0, set()
    while len(data) - at >= 8:
        _, status, length = struct.unpack_from(">HHI", data, at)
        body, at = data[at + 8:at + 8 + length], at + 8 + length
        if status == STATUS:
            at += struct.unpack_from(">I", body, 12)[0]
        if status == AUTH_MORE:
            seed("auth", f"recorded-{name}-message", b"\1" + body)
            seed("auth", f"recorded-{name}-challenge", b"\5" + body)
        if 0 < len(body) <= SMALL and body not in seen:
            seed("response", f"recorded-{name}-{len(seen)}", body)
            seen.add(body)


responses()
receive()
logins()
auths()
multiparts()
urls()
for argument in sys.argv[1:]:
    recorded(Path(argument))
