/** What the operator's installation decides, as against what one Microservice says. */
export interface Settings {
  /** Bundled services run `<imagePrefix>/<bundled>:<imageTag>`. */
  readonly imagePrefix: string;
  readonly imageTag: string;
  readonly fleetImage: string;
  readonly fleetReplicas: number;
  /** DNS name and port at which proxies find the leader's ADS server. */
  readonly xdsHost: string;
  readonly xdsPort: number;
}
