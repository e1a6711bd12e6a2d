/** Budgets. */
import type { Limits } from '../limits.js';

/** What all peers of this process together may use. One per daemon. */
export class ProcessBudget {
  constructor(_limits: Limits) {}
}
