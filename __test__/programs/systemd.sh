#!/bin/sh
# Runs systemd without booting it: a manager of root's own services, which sandboxes them as the one of the system does.
# Run it in a mount namespace of its own: systemd.sh CHECKOUT NODE
#
# /etc is a copy. The checkout is at /mnt and the folder of Node at /media, where services may read, and everyone may open
# /dev/net/tun, as udev has it. $XDG_RUNTIME_DIR is /run/manager, units are in /run/systemd/user, and /run/bin/systemctl
# is about this manager. Its RuntimeDirectory= is below /run/manager, so /run/faithd leads there.
#
# At its start systemd moves all processes of its topmost cgroup into one below. So it gets a cgroup, and a cgroup
# namespace in which that is the topmost one: the processes of the machine stay where they are.
set -e
if [ "$3" != inside ]; then
    mount -t tmpfs tmpfs /run
    mkdir /run/cgroups
    mount -t cgroup2 cgroup2 /run/cgroups
    cgroup=/run/cgroups/faithd-lab-$$
    mkdir "$cgroup"
    sh -c 'echo $$ > "$0/cgroup.procs"; exec unshare --cgroup sh "$@" inside' "$cgroup" "$0" "$1" "$2" &
    inside=$!
    trap 'kill $inside' TERM INT
    # A signal ends the first wait.
    wait $inside || wait $inside || true
    until find "$cgroup" -depth -type d -exec rmdir {} + 2> /run/rmdir; do sleep 0.1; done
    exit
fi
umount --recursive --lazy /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/manager /run/systemd/system /run/systemd/user /run/systemd/inaccessible/dir
touch /run/systemd/inaccessible/reg
cp -a /etc /run/etc
mount --bind /run/etc /etc
mkdir /run/bin
printf '#!/bin/sh\nexec /usr/bin/systemctl --user "$@"\n' > /run/bin/systemctl
chmod 755 /run/bin/systemctl
mount --bind "$1" /mnt
mount --bind "$2" /media
mknod -m 666 /run/tun c 10 200
mount --bind /run/tun /dev/net/tun
ln -s manager/faithd /run/faithd
export XDG_RUNTIME_DIR=/run/manager
/lib/systemd/systemd --user --log-target=console --unit=basic.target &
manager=$!
trap 'kill $manager; wait $manager' TERM INT
until [ "$(systemctl --user is-system-running)" = running ]; do sleep 0.1; done
# As for services of the system, whose socket is /run/systemd/notify.
chmod 755 /run/manager /run/manager/systemd
chmod 777 /run/manager/systemd/notify
echo running
wait $manager
