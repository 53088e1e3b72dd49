@operator
Feature: An operator's word counts at any moment of a diff

  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 4000 rows in each of the tables "customer, corder, product"
    And 37 planted differences
    And a workflow "move" from "commerce" to "customer"

  @cancel
  Scenario: a stopped diff stays stopped, also over a crash, and resumes where it was
    Given a VDiff of "move" is running
    When the operator stops the VDiff at 40% of the diff
    Then the VDiff is stopped
    When the target tablet is killed
    And the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff is stopped
    When the operator resumes the VDiff
    Then the VDiff completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

  @sigterm
  Scenario: a graceful stop leaves a diff that resumes
    Given a VDiff of "move" is running
    When the target tablet is asked to terminate at 50% of the diff
    Then it has exited with code 0
    When the supervisor restarts it
    Then it is ready within 10 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

  @delete
  Scenario: a deleted diff is gone, and the next one is exact
    Given a VDiff of "move" is running
    When the operator deletes the VDiff at 40% of the diff
    Then the VDiff is gone
    When the operator creates a new VDiff
    Then the VDiff completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

  @rpc-drop
  Scenario: a reader that goes away leaves no snapshot behind on the source
    Given a VDiff of "move" is running
    When a reader of the source's rows goes away at 20% of the diff
    Then the VDiff completes within 60 seconds
    And it reports exactly the planted differences
    And nothing is left behind
    And every invariant holds

  @sigkill
  @only:tablet
  Scenario: a workflow that an operator stopped stays stopped, also over a crash
    Given the operator has stopped the workflow
    And a VDiff of "move" is running
    When the target tablet is killed at 50% of the diff
    And the supervisor restarts it
    Then the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

  @sigkill
  @only:tablet
  Scenario: a frozen workflow stays frozen, also over a crash
    Given the operator has frozen the workflow
    And a VDiff of "move" is running
    When the target tablet is killed at 50% of the diff
    And the supervisor restarts it
    Then the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds
