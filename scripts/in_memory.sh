#!/bin/sh
# Run a command whose test servers have their data in memory, where that is large enough: they make thousands of files that nobody
# reads again, and on some disks the removal of many holds up everybody for seconds. Elsewhere the command runs as it is.
# What is left is removed, also what a killed run has left: it would take the memory from the next ones. Logs and journals that tests
# write stay on disk: the library refuses to keep them in memory.
room_needed=10000000  # kB, free in /dev/shm: at the end of a full run the files take half of it
memory_needed=16000000 # kB: those files, and as much for servers and workers
folder=
if [ -w /dev/shm ] && [ -r /proc/meminfo ] && ! grep -q ' /dev/shm .*noexec' /proc/mounts; then
  for left in /dev/shm/servers.*.*; do
    process=${left#/dev/shm/servers.}
    [ ! -O "$left" ] || kill -0 "${process%%.*}" 2>/dev/null || rm -rf "$left"
  done
  room=$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')
  memory=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
  if [ "$room" -ge $room_needed ] && [ "$memory" -ge $memory_needed ]; then
    folder=$(mktemp -d "/dev/shm/servers.$$.XXXXXX") && chmod 755 "$folder" && export REGIONKIT_SERVERS_FOLDER="$folder"
  fi
fi
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
"$@"
