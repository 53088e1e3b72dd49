@outage
Feature: A diff goes on after what it leans on was away
  Nobody restarts the target tablet: it must find its way back by itself.

  Background:
    Given a source keyspace "commerce" and a target keyspace "customer"
    And 4000 rows in each of the tables "customer, corder, product"
    And 37 planted differences
    And a workflow "move" from "commerce" to "customer"

  @own-servers
  Scenario Outline: <harm>
    Given a VDiff of "move" is running
    When <harm> at 40% of the diff
    And that is over
    Then it is ready within 15 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

    Examples:
      | harm                                          |
      | the target's MySQL is killed                  |
      | the source's MySQL is killed                  |
      | the source's MySQL vanishes from the network  |
      | etcd is killed                                |
      | the target's MySQL takes no writes            |

  Scenario Outline: on shared servers, <harm>
    Given a VDiff of "move" is running
    When <harm> at 40% of the diff
    And that is over
    Then it is ready within 15 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

    Examples:
      | harm                                                   |
      | the source tablet is killed                            |
      | the target tablet's connections are killed             |
      | the target tablet's lease ends                         |
      | another tablet becomes primary                         |
      | the target tablet gets no processor time               |
      | a new container takes the frozen target tablet's alias |

  Scenario Outline: frozen for <ms> ms
    Given a VDiff of "move" is running
    When the target tablet is frozen for <ms> milliseconds at 40% of the diff
    And that is over
    Then it is ready within 15 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

    Examples:
      | ms   |
      | 1500 |
      | 7000 |

  @own-servers @small-disk
  Scenario: MySQL's disk is full
    Given a VDiff of "move" is running
    When the fault "disk-full" strikes at 30% of the diff
    And that is over
    Then it is ready within 15 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds

  @own-servers
  Scenario: MySQL and etcd die while it is frozen
    Given a VDiff of "move" is running
    When the target tablet is frozen for 4000 milliseconds at 40% of the diff
    And the fault "mysql-kill" strikes 300 milliseconds into the fault before it
    And the fault "etcd-kill" strikes 300 milliseconds into the fault before it
    And that is over
    Then it is ready within 15 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And it reports exactly the planted differences
    And every invariant holds
