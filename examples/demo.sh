#!/bin/sh
# The main job, offline: the dimuon mass in 1,000 events that CMS recorded in 2012 and released as open data (CC0).
# `make demo` builds the binary and runs this.
set -eu
cd "$(dirname "$0")/.."

query=${ROOT_QUERY:-$(command -v root-query || true)}
file=examples/data/Run2012B_SingleMu_1000.root
remote=root://eospublic.cern.ch//eos/opendata/cms/derived-data/AOD2NanoAODOutreachTool/Run2012BC_DoubleMuParked_Muons.root

if [ -z "$query" ]; then
    echo "root-query is not built: run make demo" >&2
    exit 1
fi

say() {
    if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$1"; else printf '\n%s\n' "$1"; fi
}

say "1. What is in the file"
echo "\$ root-query schema $file:Events   # muons only"
"$query" schema "$file:Events" --format tree | grep -E 'entries|Muon'

say "2. The query: examples/dimuon.sql"
cat examples/dimuon.sql

say "3. Its result"
echo "\$ root-query sql -f examples/dimuon.sql $file:Events"
"$query" sql -f examples/dimuon.sql "$file:Events" --format table

# Links cost no space, and every one is opened, read and decompressed like a file of its own.
copies=${DEMO_FILES:-4000}
many=$(mktemp -d)
trap 'rm -rf "$many"' EXIT
trap 'exit 130' INT TERM
source=$PWD/$file
(cd "$many" && i=0 && while [ $i -lt "$copies" ]; do ln -s "$source" "$i.root" && i=$((i + 1)); done)

say "4. The same over $copies such files: $copies,000 events, and a progress bar once it takes 2 seconds"
echo "\$ root-query sql -f examples/dimuon.sql 'DIRECTORY/*.root:Events'"
started=$(date +%s)
"$query" sql -f examples/dimuon.sql "$many/*.root:Events" --format table
echo "took $(($(date +%s) - started)) s"

say "5. On the data at CERN: 61 million events, from where they lie"
echo "\$ root-query sql -f examples/dimuon.sql \\"
echo "    $remote:Events"
echo
echo "Not run here, as the demo needs no network: with one, the line works as it stands."
