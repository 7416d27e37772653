/** A part of the page. */
export interface View {
  readonly element: HTMLElement;
  /** Lets go of listeners and memory. What has been made stays for the view that follows, in another language. */
  end(): void;
}
