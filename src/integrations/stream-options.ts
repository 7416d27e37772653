/** The names of `StreamOptions`, for those who have options of their own beside them. */
export const STREAM_OPTIONS: readonly string[] = ["maxTokens", "stopTokens", "fetchEvery", "signal", "onStep"];
