#!/usr/bin/env python3
"""Makes an image of a container from programs of this machine, without a container engine.

    image.py NAME:TAG OUT.tar --program HOST[:IMAGE] ... [--file HOST:IMAGE] ... [--link IMAGE:TARGET] ...
             [--user UID] [--entrypoint COMMAND] [--env NAME=VALUE] ...

The archive (OCI image layout, one layer) is what `ctr images import` reads. A program that is linked dynamically brings
its loader and its libraries, as `ldd` finds them, to the paths that they have here. The same input gives the same bytes.
"""

import argparse
import hashlib
import io
import json
import os
import posixpath
import re
import shlex
import subprocess
import sys
import tarfile

MEDIA = "application/vnd.oci.image."
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Without it glibc would not ask for names of other machines where the file /etc/hosts is missing.
NSSWITCH = b"passwd: files\ngroup: files\nhosts: files dns\n"


class Problem(Exception):
    """What a person has to know to ask again."""


def libraries(program):
    """The loader and the libraries of a program, none if it is static."""
    found = subprocess.run(["ldd", program], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if found.returncode != 0:
        if re.search("not a dynamic executable|statically linked", found.stdout + found.stderr):
            return []
        raise Problem(f"the libraries of {program} cannot be found: {found.stderr.strip() or found.stdout.strip()}")
    paths = []
    for line in found.stdout.splitlines():
        if "not found" in line:
            raise Problem(f"{program} needs a library that is not here: {line.strip()}")
        # Either "name => /path (0x...)" or, for the loader, "/path (0x...)".
        path = re.search(r"(?:=> |^\s*)(/\S+) \(0x", line)
        if path:
            paths.append(path.group(1))
    return paths


def pair(text):
    """HOST:IMAGE, both given."""
    host, colon, image = text.partition(":")
    if not colon or not host or not image.startswith("/"):
        raise Problem(f"{text} is not HOST:IMAGE with an absolute path in the image")
    return host, image


def link(text):
    """IMAGE:TARGET, of which the target may be relative."""
    path, colon, target = text.partition(":")
    if not colon or not target or not path.startswith("/"):
        raise Problem(f"{text} is not IMAGE:TARGET with an absolute path in the image")
    return path, target


def placed(arguments):
    """Where every file of the image comes from: its path there, to its path here and its mode."""
    files = {}
    for program in arguments.program:
        host, image = pair(program) if ":" in program else (program, "/usr/bin/" + os.path.basename(program))
        files[image] = (host, 0o755)
        for library in libraries(host):
            files[library] = (library, 0o755)
    for file in arguments.file:
        host, image = pair(file)
        files[image] = (host, 0o644)
    return files


def entry(name, kind, mode, size=0, target=""):
    """An entry of an archive that tells nothing of when and by whom it was made."""
    info = tarfile.TarInfo(name.lstrip("/"))
    info.type, info.mode, info.size, info.linkname = kind, mode, size, target
    return info


def layer(files, links, accounts):
    """The one layer, as an uncompressed archive: it is imported on the machine where it is made."""
    texts = {
        "/etc/passwd": "".join(f"{name}:x:{uid}:{uid}::/tmp:/bin/false\n" for name, uid in accounts).encode(),
        "/etc/group": "".join(f"{name}:x:{uid}:\n" for name, uid in accounts).encode(),
        "/etc/nsswitch.conf": NSSWITCH,
    }
    paths = set(files) | set(links) | set(texts)
    directories = {"/tmp"}
    for path in paths:
        if posixpath.normpath(path) != path:
            raise Problem(f"{path} is no plain path")
        parent = posixpath.dirname(path)
        while parent != "/":
            directories.add(parent)
            parent = posixpath.dirname(parent)
    if clash := directories & paths:
        raise Problem(f"{min(clash)} is both a directory and a file")

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(directories):
            archive.addfile(entry(path, tarfile.DIRTYPE, 0o1777 if path == "/tmp" else 0o755))
        for path in sorted(paths):
            if path in links:
                archive.addfile(entry(path, tarfile.SYMTYPE, 0o777, target=links[path]))
            elif path in texts and path not in files:
                archive.addfile(entry(path, tarfile.REGTYPE, 0o644, len(texts[path])), io.BytesIO(texts[path]))
            else:
                host, mode = files[path]
                with open(host, "rb") as file:
                    archive.addfile(entry(path, tarfile.REGTYPE, mode, os.fstat(file.fileno()).st_size), file)
    return out.getvalue()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def image(arguments):
    """Every file of the archive, by its name."""
    name, colon, tag = arguments.name.rpartition(":")
    if not colon or "/" in tag:
        raise Problem(f"{arguments.name} is not NAME:TAG")
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise Problem(f"there is no name for images of {machine}")
    platform = {"architecture": ARCHITECTURES[machine], "os": "linux"}
    files = placed(arguments)
    links = dict(map(link, arguments.link))
    accounts = [("root", 0)] + ([("app", arguments.user)] if arguments.user else [])

    blobs = {}

    def blob(content, media):
        if not isinstance(content, bytes):
            content = json.dumps(content, sort_keys=True).encode()
        blobs["blobs/sha256/" + digest(content).removeprefix("sha256:")] = content
        return {"mediaType": MEDIA + media, "digest": digest(content), "size": len(content)}

    content = layer(files, links, accounts)
    config = {"Env": ["PATH=/usr/bin:/bin"] + arguments.env, "WorkingDir": "/"}
    if arguments.entrypoint:
        config["Entrypoint"] = shlex.split(arguments.entrypoint)
    if arguments.user:
        config["User"] = f"{arguments.user}:{arguments.user}"
    rootfs = {"type": "layers", "diff_ids": [digest(content)]}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA + "manifest.v1+json",
        "config": blob({**platform, "config": config, "rootfs": rootfs}, "config.v1+json"),
        "layers": [blob(content, "layer.v1.tar")],
    }
    reference = blob(manifest, "manifest.v1+json")
    reference["platform"] = platform
    reference["annotations"] = {"io.containerd.image.name": arguments.name, "org.opencontainers.image.ref.name": tag}
    index = {"schemaVersion": 2, "manifests": [reference]}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index, sort_keys=True).encode(),
        **dict(sorted(blobs.items())),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="NAME:TAG")
    parser.add_argument("out", help="the archive")
    parser.add_argument("--program", action="append", default=[], metavar="HOST[:IMAGE]")
    parser.add_argument("--file", action="append", default=[], metavar="HOST:IMAGE")
    parser.add_argument("--link", action="append", default=[], metavar="IMAGE:TARGET")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--user", type=int, default=0)
    parser.add_argument("--entrypoint", metavar="COMMAND")
    arguments = parser.parse_args()
    try:
        files = image(arguments)
        # In place only when it is whole: another may be reading the one that is there.
        partial = f"{arguments.out}.{os.getpid()}"
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in files.items():
                archive.addfile(entry(name, tarfile.REGTYPE, 0o644, len(content)), io.BytesIO(content))
        os.replace(partial, arguments.out)
    except (Problem, OSError) as problem:
        sys.exit(f"image.py: {problem}")


if __name__ == "__main__":
    main()
