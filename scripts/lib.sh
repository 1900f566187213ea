# Shared by scripts/run and scripts/test: steps that say what they do and how long they took, the
# packages this machine lacks, and the Docker engine where no service manager starts it.
# Sourced with `set -euo pipefail`; $no_install is set by the caller.

say() { printf '%s\n' "$*" >&2; }

# fail WHAT MEND: says both and ends.
fail() {
  say "failed: $1"
  say "  mend: $2"
  exit 1
}

# step WHAT MEND COMMAND...: runs a command quietly, says how long it took; on failure shows the end
# of its output and how to mend it. SHOW=1 lets its output through, for commands with a progress bar.
step() {
  local what=$1 mend=$2 begin=$SECONDS log
  shift 2
  if [ -n "${SHOW:-}" ]; then
    say "$what …"
    "$@" >&2 || fail "$what" "$mend"
    say "$what: $((SECONDS - begin)) s"
    return
  fi
  log=$(mktemp)
  printf '%s … ' "$what" >&2
  if "$@" >"$log" 2>&1 </dev/null; then
    say "$((SECONDS - begin)) s"
    rm -f "$log"
  else
    say "failed after $((SECONDS - begin)) s"
    tail -n 30 "$log" >&2
    rm -f "$log"
    fail "$what" "$mend"
  fi
}

# packages COMMAND=PACKAGE...: installs the Debian packages whose command is missing.
packages() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local mend="apt-get install ${missing[*]}"
  [ -z "${no_install:-}" ] || fail "missing: ${missing[*]}" "$mend (--no-install was given)"
  [ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}, and installing needs root" "sudo $mend"
  step "reading the package lists" "check this machine's apt sources" apt-get update -q
  step "installing ${missing[*]}" "check this machine's apt sources, then: $mend" \
    env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

docker_answers() { timeout 10 docker info >/dev/null 2>&1; }

# Starts the Docker engine unless it answers: by the service manager where there is one.
docker_engine() {
  docker_answers && return
  [ "$(id -u)" = 0 ] || fail "the Docker engine does not answer, and starting it needs root" \
    "start it, or let this user talk to it (group docker)"
  if [ -d /run/systemd/system ]; then
    step "starting the Docker engine" "see: journalctl -u docker" systemctl start docker
  else
    # a pid file left by a killed engine would keep a new one from starting
    if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
      rm -f /var/run/docker.pid
    fi
    mkdir -p /var/log
    setsid nohup dockerd >/var/log/dockerd.log 2>&1 </dev/null &
  fi
  local tries
  for tries in $(seq 60); do
    docker_answers && return
    sleep 0.5
  done
  fail "the Docker engine does not answer after 30 s" "see /var/log/dockerd.log"
}

# gVisor, where Debian's runsc is installed: the engine learns of it without a restart.
docker_runsc() {
  command -v runsc >/dev/null 2>&1 || return 0
  ! docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"runsc"' || return 0
  local config=/etc/docker/daemon.json
  if [ -e "$config" ]; then
    say "note: $config exists; add the runtime runsc there to test on gVisor"
    return 0
  fi
  mkdir -p /etc/docker
  printf '%s\n' '{"runtimes": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--platform=ptrace", "--network=none"]}}}' >"$config"
  [ ! -f /var/run/docker.pid ] || kill -HUP "$(cat /var/run/docker.pid)"
}
