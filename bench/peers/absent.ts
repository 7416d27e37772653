/** Stands for what transformers.js uses outside browsers only. */
export default {};
