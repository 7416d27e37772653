/** A part of the page. */
export interface View {
  readonly element: HTMLElement;
  /** Lets go of everything: listeners, work under way, memory. */
  end(): void;
}
