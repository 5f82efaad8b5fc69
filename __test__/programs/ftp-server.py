"""An FTP server that knows neither EPSV nor EPRT: ftp-server.py ADDRESS FOLDER"""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer


class Old(FTPHandler):
    proto_cmds = {name: facts for name, facts in FTPHandler.proto_cmds.items() if name[:2] != "EP"}


address, folder = sys.argv[1:]
authorizer = DummyAuthorizer()
authorizer.add_user("someone", "secret", folder, perm="elradfmwMT")
Old.authorizer = authorizer
# One loop for all clients may forget a connection whose descriptor another one had before.
server = ThreadedFTPServer((address, 21), Old)
print("listening", flush=True)
server.serve_forever(handle_exit=False)
