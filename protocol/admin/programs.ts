/**
 * What the CLI and the daemon's programs that it starts say to each other over the IPC channel: requests, questions for
 * a passphrase, outcomes. Never argv and never the environment: both are public, and much of this is secret.
 */
import type { ErrorCode } from '../errors.js';
import type { JoinReply, Status } from './contract.js';

/**
 * What `warren up` hands to the daemon's program over its IPC channel: never argv, since argv is public and a token
 * is a secret.
 */
export interface StartRequest {
  readonly kind: 'start';
  readonly home: string;
  /** foreground: drain and stop when the channel closes */
  readonly foreground: boolean;
  readonly name?: string;
  readonly listen?: readonly string[];
  readonly noListen?: boolean;
  readonly advertise?: readonly string[];
  readonly mdns?: boolean;
  /** links kept up with each peer, 1 to MAX_LINKS */
  readonly links?: number;
  /** http://HOST:PORT, https://HOST:PORT or `none`; never with credentials */
  readonly proxy?: string;
  readonly join?: string;
  /** opens a protected home; protects one that is not */
  readonly passphrase?: string;
  /** the parent can ask a person: for the passphrase of a protected home; with `choose`, for a new one as well */
  readonly asks?: 'open' | 'choose';
  /** what the daemon before this one handed over, see ShutdownReply */
  readonly handedOver?: string;
  /** where the next key of a new node goes, an absolute path */
  readonly nextKey?: string;
  /** seals that file */
  readonly nextPassphrase?: string;
}

/** What `warren keys restore` hands to the daemon's program for it, over its IPC channel. */
export interface RestoreRequest {
  readonly kind: 'restore';
  readonly home: string;
  /** a backup or a next-key file, an absolute path */
  readonly file: string;
  /** of that file */
  readonly passphrase?: string;
  /** the parent can ask a person for it */
  readonly asks?: 'open';
}

/** A program of the daemon asks its parent, which answers with a PassphraseAnswer. */
export interface PassphraseQuestion {
  readonly kind: 'passphrase';
  /** open: the one that opens it · choose: a new one, to be typed twice */
  readonly purpose: 'open' | 'choose';
  /** what it opens or will open: "the home /x", "/media/next.key" */
  readonly of: string;
}

export interface PassphraseAnswer {
  readonly kind: 'passphrase';
  readonly passphrase: string;
}

export type RestoreReply =
  | {
      readonly kind: 'restored';
      readonly source: 'backup' | 'next-key';
      readonly node: string;
      readonly seq: number;
      /** ISO 8601; null for a next-key file */
      readonly backupTime: string | null;
      /** it opens with the passphrase of the backup */
      readonly protected: boolean;
      /** config.yaml was there and stayed as it is */
      readonly keptConfig: boolean;
    }
  | PassphraseQuestion
  | Failure;

export interface Failure {
  readonly kind: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

export type StartReply =
  | { readonly kind: 'ready'; readonly status: Status; readonly joined?: JoinReply }
  | Failure
  | PassphraseQuestion
  /** sent before a foreground daemon ends for a restart: the parent starts the next one */
  | { readonly kind: 'restarting'; readonly handOver?: string };
