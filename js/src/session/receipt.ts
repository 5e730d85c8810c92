export interface CloseReceipt {
  id: string;
}
export interface ResetReport {
  level: string;
}
