/** The gateway for FTP, by RFC 6384. */
import type { Gateway } from '../gateway.js'
import { FtpSession } from './session.js'

/** The gateway for FTP on its port, 21. Data connections need no port of their own: the control connection names them. */
export const ftp: Gateway = {
  name: 'ftp',
  port: 21,
  isOn: (configuration) => configuration.ftp,
  serve: (client, server, place) => void new FtpSession(client, server, place),
}
