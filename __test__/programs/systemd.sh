#!/bin/sh
# Runs systemd without booting it: a manager of root's own services, which sandboxes them as the one of the system does.
# Run it in a mount namespace of its own: systemd.sh CHECKOUT NODE
#
# /etc is a copy. The checkout is at /mnt and the folder of Node at /media, where services may read, and everyone may open
# /dev/net/tun, as udev has it. $XDG_RUNTIME_DIR is /run/manager, units are in /run/systemd/user, and /run/bin/systemctl
# is about this manager. Its RuntimeDirectory= is below /run/manager, so /run/faithd leads there.
set -e
mount -t tmpfs tmpfs /run
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
