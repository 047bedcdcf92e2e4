/** Everything under `generated/`, which is not committed. */
import { generateCrdTypes } from './crd-types.ts';
import { generateXdsDescriptor } from './xds-descriptor.ts';

generateCrdTypes();
generateXdsDescriptor();
