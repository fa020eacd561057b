# First process of its pid namespace, in a mount namespace of its own: $1 holds the layers, $2 names the cgroup.
layers=$1 group=$2
shift 2
mount --make-rprivate /
for directory in etc var opt; do
    mkdir -p "$layers/$directory/new" "$layers/$directory/work" "/$directory"
    mount -t overlay overlay \
        -o "lowerdir=/$directory,upperdir=$layers/$directory/new,workdir=$layers/$directory/work" "/$directory"
done
mount -t tmpfs tmpfs /run
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$group"
    echo 0 > "/sys/fs/cgroup/$group/cgroup.procs"
    exec unshare --cgroup sh -ec 'mount -t cgroup2 cgroup2 /sys/fs/cgroup; mount --make-rshared /; exec k3s "$@"' k3s "$@"
fi
mount --make-rshared /
exec k3s "$@"
