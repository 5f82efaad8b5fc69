// The list of parts (SBOM) of a release, as CycloneDX 1.6: the npm packages, and the crates that the addons are made of.
// It has no serial number and no date, so that a commit always gives the same one.
import { keyOf } from './crates.mjs'

/** @typedef {import('./crates.mjs').Crate} Crate */
/** @typedef {{ name: string, version: string, sha256: string }} Packed a tarball of npm */

/** @param {{ name: string, version: string }} part */
const npmUrl = ({ name, version }) => `pkg:npm/${name}@${version}`
/** @param {{ name: string, version: string }} part */
const cargoUrl = ({ name, version }) => `pkg:cargo/${name}@${version.replaceAll('+', '%2B')}`

/**
 * @param {Packed} main
 * @param {readonly Packed[]} platforms
 * @param {readonly Crate[]} crates everything that each addon has
 * @param {readonly Crate[]} standard those of the standard library
 */
export function billOfMaterials(main, platforms, crates, standard) {
  const all = [...new Map([...standard, ...crates].map((crate) => [keyOf(crate), crate])).values()]
  const urls = new Map(all.map((crate) => [keyOf(crate), cargoUrl(crate)]))
  const addon = crates.filter(({ name }) => name === 'faithd').map(cargoUrl)
  const std = standard.filter(({ name }) => name === 'std').map(cargoUrl)
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: npmComponent(main, 'application') },
    components: [
      ...platforms.map((part) => npmComponent(part, 'library')),
      ...all.map((crate) => ({
        type: 'library',
        'bom-ref': cargoUrl(crate),
        name: crate.name,
        version: crate.version,
        purl: cargoUrl(crate),
        licenses: [{ expression: crate.licence }],
        ...(crate.sha256 && { hashes: [{ alg: 'SHA-256', content: crate.sha256 }] }),
      })),
    ],
    dependencies: [
      { ref: npmUrl(main), dependsOn: platforms.map(npmUrl) },
      ...platforms.map((part) => ({ ref: npmUrl(part), dependsOn: [...addon, ...std] })),
      ...all.map((crate) => ({
        ref: cargoUrl(crate),
        dependsOn: crate.needs.map((need) => urls.get(need) ?? '').toSorted(),
      })),
    ],
  }
  return `${JSON.stringify(bill, undefined, 2)}\n`
}

/** @param {Packed} part @param {string} type */
function npmComponent(part, type) {
  return {
    type,
    'bom-ref': npmUrl(part),
    name: part.name,
    version: part.version,
    purl: npmUrl(part),
    licenses: [{ expression: 'MIT OR Apache-2.0' }],
    hashes: [{ alg: 'SHA-256', content: part.sha256 }],
  }
}
