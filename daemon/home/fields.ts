/** Fields of the home's documents. */
import * as v from 'valibot';
import { fromBase64url } from '../../protocol/bytes.js';

/** Bytes in a document, base64url in the file. @param min, max length in bytes */
export function bytesField(min: number, max: number) {
  return v.pipe(
    v.string(),
    v.maxLength(Math.ceil((max * 4) / 3)),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        const bytes = fromBase64url(dataset.value);
        if (bytes.length >= min && bytes.length <= max) return bytes;
      } catch {
        // told below
      }
      addIssue({ message: `expected ${min === max ? min : `${min} to ${max}`} bytes in base64url` });
      return NEVER;
    }),
  );
}

/** A whole number from 0 on. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** A line that a person or another program wrote. */
export const label = v.pipe(v.string(), v.maxLength(1024));
